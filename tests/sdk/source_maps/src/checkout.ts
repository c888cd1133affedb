import { applyDiscount, type Article } from './pricing';

export class Checkout {
  private readonly articles: Article[] = [];

  add(article: Article): this {
    this.articles.push(article);
    return this;
  }

  total(): number {
    let total = 0;
    for (const article of this.articles) {
      total += applyDiscount(article);
    }
    return total;
  }
}

export function payFor(names: string[]): number {
  const checkout = new Checkout();
  for (const name of names) {
    checkout.add({ name, price: name.length * 100 });
  }
  return checkout.total();
}
